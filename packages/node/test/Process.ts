/** An app's process over a store that it shares: its client, and what it says. */
import { AuthedHttpClient } from "@effect-alf/core"
import { NodeAuthedHttpClient } from "@effect-alf/node"
import { Array as Arr, Context, Effect, Layer, Logger, Redacted } from "effect"
import { hang } from "../../core/test/support/hang.js"
import type { OAuthServer } from "./OAuthServer.js"

/** Hears what an effect logs. */
export const listen = () => {
  const messages: Array<string> = []
  const logger = Logger.make(({ message }) => messages.push(Arr.ensure(message).join(" ")))
  return { messages, log: Effect.provide(Logger.replace(Logger.defaultLogger, logger)) }
}

/** Its client waits for a token as long as it takes. */
export const make = (server: OAuthServer, options: Partial<NodeAuthedHttpClient.Options>) =>
  Effect.map(
    Layer.build(NodeAuthedHttpClient.layer({
      tokenEndpoint: server.tokenEndpoint,
      clientId: "the-client",
      clientSecret: Redacted.make("the-client-secret"),
      baseUrl: server.url,
      maxWait: hang,
      timeout: hang,
      ...options
    })),
    Context.get(AuthedHttpClient.AuthedHttpClient)
  )
