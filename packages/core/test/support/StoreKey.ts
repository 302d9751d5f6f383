/** The key under which a shared store has the token of a request. */
import type { TokenRequest } from "@effect-alf/core"
import { Redacted } from "effect"
import { fingerprint } from "../../src/disclosure/Fingerprint.js"

export const storeKey = ({ key }: Pick<TokenRequest.ResolvedTokenRequest, "key">): string =>
  fingerprint(Redacted.value(key))
