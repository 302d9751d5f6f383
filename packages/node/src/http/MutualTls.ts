/** A connection pool that presents a client certificate, and another pool with each new certificate (RFC 8705). */
import type { InvalidOptions } from "@effect-alf/core/OAuthError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as TlsCertificate from "../TlsCertificate.js"
import type * as ConnectionPool from "./ConnectionPool.js"
import * as SwitchedDispatcher from "./SwitchedDispatcher.js"
import * as TlsIdentity from "./TlsIdentity.js"

export interface Options<R> {
  readonly source: TlsCertificate.Source<R>
  /** The certificate as it was read first. */
  readonly first: Reading
  readonly ca: ReadonlyArray<string> | undefined
  readonly makePool: (certificate: TlsIdentity.TlsIdentity) => ConnectionPool.Pool
  readonly gracePeriod: Duration.DurationInput
  /** How often the certificate is read; `undefined` for never. */
  readonly refreshInterval: Duration.DurationInput | undefined
}

/** What was read, and the identity that it makes. */
export interface Reading {
  readonly contents: TlsIdentity.Contents
  readonly identity: TlsIdentity.TlsIdentity
}

/** Reads the certificate. */
export const read = <R>(
  source: TlsCertificate.Source<R>,
  ca: ReadonlyArray<string> | undefined
): Effect.Effect<Reading, InvalidOptions, R> =>
  Effect.flatMap(
    TlsIdentity.read(source),
    (contents) => Effect.map(TlsIdentity.make(contents, ca), (identity) => ({ contents, identity }))
  )

/** Presents the certificate, and reads it again periodically and on `refresh`. */
export const make = Effect.fnUntraced(function*<R>(
  { ca, first, gracePeriod, makePool, refreshInterval, source }: Options<R>
) {
  const read = Effect.provide(TlsIdentity.read(source), yield* Effect.context<R>())

  let contents = first.contents
  let current = first.identity
  let complaint: string | undefined
  const { dispatcher, open, replace } = yield* SwitchedDispatcher.make(makePool(current), { gracePeriod })

  const refresh = Effect.gen(function*() {
    const found = yield* read
    if (found.fingerprint !== contents.fingerprint) {
      const next = yield* TlsIdentity.make(found, ca)
      yield* Effect.uninterruptible(Effect.suspend(() => {
        contents = found
        current = next
        return replace(makePool(next))
      }))
    }
    if (complaint !== undefined) yield* Effect.logInfo("The client certificate can be read again")
    complaint = undefined
  }).pipe(
    Effect.catchAll(({ message }) => {
      if (message === complaint) return Effect.void
      complaint = message
      return Effect.logWarning(`The client certificate was not updated: ${message}`)
    }),
    Effect.makeSemaphore(1).pipe(Effect.runSync).withPermits(1)
  )
  if (refreshInterval !== undefined) {
    yield* Effect.forkScoped(Effect.schedule(refresh, Schedule.spaced(refreshInterval)))
  }
  return { dispatcher, open, thumbprint: () => current.thumbprint, refresh }
})
