/** What a server does to a client that comes for a document, and what the client should make of it. */
import type { Socket } from "node:net"

/** One connection to the server. */
export interface Visit {
  /** Counts the connections from 1. */
  readonly number: number
  readonly socket: Socket
  /** What the client came for, as an honest server would send it. */
  readonly document: string
  /** An origin that must never be contacted. */
  readonly elsewhere: string
  /**
   * Lets so many milliseconds pass on the client's clock, which stands still otherwise: `timeLimit` ends an attempt,
   * so that a visit lets no more pass than that.
   */
  readonly letPass: (millis: number) => void
}

/** When the client's clock begins. */
export const startsAt = Date.UTC(2030, 0, 1)

/** How long the client waits for an answer, in milliseconds on its clock. */
export const timeLimit = 1000

/** How long the client pauses before it asks again, in milliseconds on its clock. */
export const pause = 50

export interface Behaviour {
  readonly name: string
  readonly does: string
  readonly serve: (visit: Visit) => void
  readonly expected: Expected
  /** What the client is told to speak; `http` where it is absent. */
  readonly scheme?: "https"
  /** The server does the TLS handshake, with this certificate. */
  readonly certificate?: "trusted" | "unknown" | "expired" | "other host"
  /** Nobody listens there, or nobody answers to the SYN. */
  readonly port?: "closed" | "dropping"
  /** The client reads on for as long as something comes: it is given no company. */
  readonly floods?: true
  /** It acts before it is asked: connections are counted, not what comes over them. */
  readonly deaf?: true
  /** How often the client comes; once where it is absent. */
  readonly asks?: number
}

export type Expected = Accepted | Refused

export interface Accepted {
  readonly outcome: "accepted"
  /** The token that the client must have; the honest document's where it is absent. */
  readonly token?: string
  /** In seconds; `null` is a lifetime that nobody knows. */
  readonly lifetime?: number | null
  readonly scope?: string
  /** How many connections there were over which something was asked; 1 where it is absent. */
  readonly visits?: number
}

export interface Refused {
  readonly outcome: "refused"
  /** The reason, or one of several where the HTTP clients differ in what they find first. */
  readonly reason: string | ReadonlyArray<string>
  /** What the message must have said. */
  readonly says: RegExp
  readonly error?: string
  /** From so many seconds to so many, or `null` for none at all. */
  readonly retryAfter?: readonly [number, number] | null
  /** Where it is absent: 2 without an answer (`Transport` and `Timeout`), else 1. */
  readonly visits?: number
}

export const accepted = (fields?: Omit<Accepted, "outcome">): Accepted => ({ outcome: "accepted", ...fields })

export const refused = (
  reason: Refused["reason"],
  says: RegExp,
  fields?: Omit<Refused, "outcome" | "reason" | "says">
): Refused => ({ outcome: "refused", reason, says, ...fields })

/** No answer that could be read: asked once more, and then refused. */
export const broken = (says: RegExp): Refused => refused("Transport", says)

/** No answer in time: asked once more, and then refused. */
export const late: Refused = refused("Timeout", /no answer within/)

export const row = (
  name: string,
  does: string,
  serve: Behaviour["serve"],
  expected: Expected,
  more?: Omit<Behaviour, "name" | "does" | "serve" | "expected">
): Behaviour => ({ name, does, serve, expected, ...more })

// -----------------------------------------------------------------------------
// what arrives
// -----------------------------------------------------------------------------

export interface Request {
  /** In latin1, as all texts of this package that are bytes. */
  readonly head: string
  readonly body: string
}

/** Calls back for each request of a connection, when it has arrived as a whole. */
export const onRequest = (socket: Socket, listener: (request: Request, number: number) => void): void => {
  let received = ""
  let number = 0
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1")
    for (let end = received.indexOf("\r\n\r\n"); end >= 0; end = received.indexOf("\r\n\r\n")) {
      const head = received.slice(0, end)
      const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
      if (received.length < end + 4 + length) return
      const body = received.slice(end + 4, end + 4 + length)
      received = received.slice(end + 4 + length)
      listener({ head, body }, ++number)
    }
  })
}

/** The credentials that came with a request, each as it was before it was encoded. */
export const credentialsOf = ({ body, head }: Request) => {
  const form = new URLSearchParams(body)
  return {
    basic: /^authorization: *basic +(\S+)/im.exec(head)?.[1] ?? "",
    secret: form.get("client_secret") ?? "",
    assertion: form.get("client_assertion") ?? ""
  }
}

// -----------------------------------------------------------------------------
// what is sent
// -----------------------------------------------------------------------------

export type Headers = Readonly<Record<string, string | ReadonlyArray<string>>>

/** An answer, framed by its length unless the headers say otherwise; the connection ends with it. */
export const http = (status: number | string, headers: Headers, body: string | Buffer): Buffer => {
  const bytes = typeof body === "string" ? Buffer.from(body) : body
  const all = { "content-length": String(bytes.length), connection: "close", ...headers }
  const lines = Object.entries(all).flatMap(([name, value]) =>
    (typeof value === "string" ? [value] : value).map((value) => `${name}: ${value}`)
  )
  const line = typeof status === "string" ? status : `${status} Status`
  return Buffer.concat([Buffer.from([`HTTP/1.1 ${line}`, ...lines, "", ""].join("\r\n"), "latin1"), bytes])
}

const jsonType = { "content-type": "application/json" }

export const json = (status: number | string, body: unknown, headers: Headers = {}): Buffer =>
  http(status, { ...jsonType, ...headers }, JSON.stringify(body))

/** The beginning of an answer that is framed by chunks. */
export const chunkedHead = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"

export const chunk = (body: string): string => `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`

/** Answers every request so, and ends the connection. */
export const answer = (bytes: (visit: Visit, request: Request) => string | Uint8Array): Behaviour["serve"] => (visit) =>
  onRequest(visit.socket, (request) => visit.socket.end(bytes(visit, request)))

/** Answers 200 with this body of JSON, or of what calls itself so. */
export const ok = (
  body: string | Buffer | ((document: string) => string | Buffer),
  headers: Headers = {}
): Behaviour["serve"] =>
  answer(({ document }) => http(200, { ...jsonType, ...headers }, typeof body === "function" ? body(document) : body))

const megabyte = 1024 * 1024
// What is not read yet, the kernel holds: it takes up to half of this
const whole = 64 * megabyte
const stages = 2
// Small pieces would keep the server's processor busy, and not the client
const piece = megabyte / 4

/**
 * Sends the beginning, and then this again and again, as fast as it is taken, until it is more than anybody may hold:
 * by then the client's time is over.
 */
export const flood = (head: string | Buffer, again: string | Buffer): Behaviour["serve"] => ({ letPass, socket }) =>
  onRequest(socket, () => {
    const length = Buffer.byteLength(again)
    const bytes = Buffer.alloc(Math.ceil(piece / length) * length, again)
    let sent = 0
    const write = () => {
      for (let isTaken = true; isTaken && socket.writable && sent < whole;) {
        const stage = Math.floor(sent / whole * stages)
        sent += bytes.length
        const isNext = stage < Math.floor(sent / whole * stages)
        isTaken = socket.write(bytes, (error) => !error && isNext && letPass(timeLimit / stages))
      }
    }
    socket.on("drain", write)
    socket.write(head)
    write()
  })

/** Sends the beginning, and then this again and again, one every so many milliseconds on the client's clock. */
export const drip = (head: string, again: string, every: number): Behaviour["serve"] => ({ letPass, socket }) =>
  onRequest(socket, () => {
    let left = timeLimit / every
    const timer = setInterval(() => {
      socket.write(again, (error) => !error && letPass(every))
      if (--left === 0) clearInterval(timer)
    }, 1)
    socket.on("close", () => clearInterval(timer))
    socket.write(head)
  })
