/**
 * In milliseconds: only what hangs takes this long, however slow and busy the machine is. The one time limit of the
 * whole suite, for a test, a hook, a process and an answer alike.
 */
export const hang = 600_000
