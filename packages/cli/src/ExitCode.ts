/** How the command ends, for the scripts that run it. */

/** The exit codes, which the help and the guide name. */
export const ExitCode = {
  ok: 0,
  /** The authorization server or the API says no. */
  refused: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
  /** The authorization server, the API or the proxy on the way cannot be reached. */
  unreachable: 3,
  /** Tokens can be had, but the store, the clock or the token is not as it should be. */
  degraded: 4,
  /** A fault of the command itself. */
  unexpected: 70,
  /** Ended by Ctrl-C, as shells count it. */
  interrupted: 130,
  /** Ended because nobody reads the output any more, as shells count it. */
  closedPipe: 141
} as const

/** One of the exit codes. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]
