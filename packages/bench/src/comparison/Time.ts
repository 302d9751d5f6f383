const RealDate = Date
let ahead = 0

/** Moves the time of this process, which is the clients' alone: timers go on as they were. */
export const advance = (millis: number): void => {
  ahead += millis
}

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [RealDate.now() + ahead] : args, newTarget),
  get: (target, property, receiver) =>
    property === "now" ? () => RealDate.now() + ahead : Reflect.get(target, property, receiver)
})
