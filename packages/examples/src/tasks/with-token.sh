#!/bin/sh
# Runs a command with a token in API_TOKEN, as in `with-token.sh ./deploy`. The exit code of the doctor decides whether
# to go on.

alf doctor >&2
case $? in
  0) ;;
  4) echo "Going on with a problem: see the report" >&2 ;;
  3) echo "A server is unreachable: try again later" >&2; exit 75 ;;
  *) echo "The settings are wrong: see the report" >&2; exit 78 ;;
esac

API_TOKEN=$(alf token --reveal) || exit
export API_TOKEN
exec "$@"
