/** An https server that takes only clients with a certificate of its authority. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { createHash } from "node:crypto"
import type { IncomingMessage, RequestListener } from "node:http"
import { createServer } from "node:https"
import type { TLSSocket } from "node:tls"
import type * as Certificates from "./Certificates.js"
import * as LocalServer from "./LocalServer.js"

/** What RFC 8705 §3.1 makes of the certificate that a request came with. */
export const thumbprintOf = (request: IncomingMessage): string =>
  createHash("sha256").update((request.socket as TLSSocket).getPeerCertificate().raw).digest("base64url")

/** Its `url` begins with https. */
export const make = (
  authority: Certificates.Authority,
  listener: RequestListener = (request, response) => response.end(thumbprintOf(request)),
  host = "127.0.0.1"
): Effect.Effect<LocalServer.LocalServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { certificate, key } = yield* authority.issue("server")
    const server = createServer(
      {
        ...{ cert: certificate, key, ca: authority.ca, requestCert: true, rejectUnauthorized: true },
        keepAliveTimeout: LocalServer.keepAliveTimeout
      },
      listener
    )
    const local = yield* LocalServer.listen(server, host)
    return { ...local, url: local.url.replace("http:", "https:") }
  })
