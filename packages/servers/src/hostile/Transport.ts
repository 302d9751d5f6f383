/** Connections that break, stall or never come about, and HTTP that is none. */
import {
  accepted,
  answer,
  type Behaviour,
  broken,
  chunk,
  chunkedHead,
  drip,
  flood,
  http,
  json,
  late,
  onRequest,
  pause,
  refused,
  row,
  timeLimit,
  type Visit
} from "./Behaviour.js"

const head = (lines: string, status = "200 OK") =>
  `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${lines}\r\n`

/** Answers with these bytes, and leaves the connection as it is while the client's time goes by. */
const send = (bytes: (document: string) => string): Behaviour["serve"] => ({ document, letPass, socket }) =>
  onRequest(socket, () => socket.write(bytes(document), () => letPass(timeLimit)))

/** Answers with these bytes, and resets the connection as soon as they are on the way. */
const sendAndReset = (bytes: string): Behaviour["serve"] => ({ socket }) =>
  onRequest(socket, () => socket.write(bytes, () => setTimeout(() => socket.resetAndDestroy(), 20)))

/** Reads on, and says nothing. */
const silent: Behaviour["serve"] = ({ letPass, socket }) => void socket.once("data", () => letPass(timeLimit)).resume()

const cut = /other side closed|terminated|aborted|socket|ECONNRESET|premature|closed/i
const malformed = /parse|HPE_|expected|invalid|unexpected|missing|response|mismatch|bad/i

const connections: ReadonlyArray<Behaviour> = [
  row("accept and close", "closes as soon as somebody connects", ({ socket }) => void socket.end(), broken(cut), {
    deaf: true
  }),
  row(
    "reset at once",
    "resets as soon as somebody connects",
    ({ socket }) => void socket.resetAndDestroy(),
    broken(cut),
    { deaf: true }
  ),
  row(
    "close after the request",
    "takes the request, and closes",
    ({ socket }) => onRequest(socket, () => socket.destroy()),
    broken(cut)
  ),
  row(
    "reset after the request",
    "takes the request, and resets",
    ({ socket }) => onRequest(socket, () => socket.resetAndDestroy()),
    broken(cut)
  ),
  row(
    "close amid the request",
    "closes with the first bytes of the request",
    ({ socket }) => void socket.once("data", () => socket.destroy()),
    broken(cut)
  ),
  row(
    "reset amid the headers",
    "resets after half of the headers",
    sendAndReset("HTTP/1.1 200 OK\r\nconte"),
    broken(cut)
  ),
  row(
    "reset after the headers",
    "resets after the headers",
    sendAndReset(head("content-length: 100\r\n")),
    broken(cut)
  ),
  row(
    "reset amid the body",
    "resets after half of the body",
    sendAndReset(`${head("content-length: 100\r\n")}{"access_token":"`),
    broken(cut)
  ),
  row(
    "never an answer",
    "takes the request, and is silent",
    ({ letPass, socket }) => onRequest(socket, () => letPass(timeLimit)),
    late
  ),
  row(
    "half-closed",
    "sends its end of stream, and reads on for ever",
    ({ socket }) => onRequest(socket, () => socket.end()),
    broken(cut)
  ),
  row(
    "stops reading",
    "takes a byte, and no more",
    ({ letPass, socket }) =>
      void socket.once("data", () => {
        socket.pause()
        letPass(timeLimit)
      }),
    late
  ),
  row("slow headers", "sends a byte of a header every 100 ms", drip("HTTP/1.1 200 OK\r\nx-slow: ", "a", 100), late),
  row("slow body", "sends a byte of the body every 100 ms", drip(head("content-length: 1000\r\n"), " ", 100), late),
  row("slow chunks", "sends a chunk of a byte every 10 ms", drip(chunkedHead, chunk(" "), 10), late),
  row("connection refused", "is not there", () => {}, refused("Transport", /ECONNREFUSED/, { visits: 0 }), {
    port: "closed"
  }),
  row(
    "SYN dropped",
    "never takes part in the handshake of TCP",
    () => {},
    refused("Timeout", /no answer within/, {
      visits: 0
    }),
    { port: "dropping" }
  ),
  row(
    "closes an idle connection",
    "closes a kept connection while the next request is under way",
    (visit) =>
      onRequest(
        visit.socket,
        (_, number) => number === 1 ? answerAndKeep(visit) : visit.socket.destroy()
      ),
    accepted({ visits: 2 }),
    { asks: 2 }
  ),
  row(
    "resets an idle connection",
    "resets a kept connection while the next request is under way",
    (visit) =>
      onRequest(
        visit.socket,
        (_, number) => number === 1 ? answerAndKeep(visit) : visit.socket.resetAndDestroy()
      ),
    accepted({ visits: 2 }),
    { asks: 2 }
  ),
  row(
    "back on the second try",
    "resets the first connection, and is honest on the second",
    (visit) =>
      onRequest(
        visit.socket,
        () => visit.number === 1 ? visit.socket.resetAndDestroy() : visit.socket.end(http(200, {}, visit.document))
      ),
    accepted({ visits: 2 })
  )
]

const keptAlive = ({ document }: Visit) => http(200, { connection: "keep-alive" }, document)

const answerAndKeep = (visit: Visit) => visit.socket.write(keptAlive(visit), () => visit.letPass(pause))

const framing: ReadonlyArray<Behaviour> = [
  row(
    "content-length too short",
    "says 10 bytes and sends all",
    answer(({ document }) => `${head("content-length: 10\r\n")}${document}`),
    refused(["InvalidResponse", "Transport"], /no valid JSON|parse|HPE/i)
  ),
  row(
    "content-length too long",
    "says 10 bytes more than it sends, and closes",
    answer(({ document }) => `${head(`content-length: ${document.length + 10}\r\n`)}${document}`),
    broken(cut)
  ),
  row(
    "content-length too long, open",
    "says 10 bytes more than it sends, and waits",
    send((document) => `${head(`content-length: ${document.length + 10}\r\n`)}${document}`),
    late
  ),
  row(
    "content-length negative",
    "says -1 bytes",
    answer(({ document }) => `${head("content-length: -1\r\n")}${document}`),
    broken(malformed)
  ),
  row(
    "content-length no number",
    "says that there are many bytes",
    answer(({ document }) => `${head("content-length: many\r\n")}${document}`),
    broken(malformed)
  ),
  row(
    "content-length huge",
    "says 2^70 bytes",
    answer(({ document }) => `${head("content-length: 1180591620717411303424\r\n")}${document}`),
    broken(malformed)
  ),
  row(
    "content-length twice",
    "says two lengths that differ",
    answer(({ document }) => `${head(`content-length: ${document.length}\r\ncontent-length: 5\r\n`)}${document}`),
    broken(malformed)
  ),
  row(
    "content-length and chunked",
    "frames its answer in two ways at once",
    answer(({ document }) =>
      `${head(`content-length: ${document.length}\r\ntransfer-encoding: chunked\r\n`)}${chunk(document)}0\r\n\r\n`
    ),
    broken(malformed)
  ),
  row("no length", "ends its body with the connection", answer(({ document }) => head("") + document), accepted()),
  row(
    "chunked",
    "sends a byte a chunk",
    answer(({ document }) => `${chunkedHead}${Array.from(document, chunk).join("")}0\r\n\r\n`),
    accepted()
  ),
  row("chunk garbage", "sends a chunk size that is none", answer(() => `${chunkedHead}xyz\r\n`), broken(malformed)),
  row(
    "chunk size overflow",
    "sends a chunk size beyond 64 bits",
    answer(() => `${chunkedHead}${"f".repeat(17)}\r\n{}`),
    broken(malformed)
  ),
  row(
    "last chunk missing",
    "closes without the last chunk",
    answer(({ document }) => chunkedHead + chunk(document)),
    broken(cut)
  ),
  row(
    "endless chunk extension",
    "never ends the line of a chunk",
    flood(`${chunkedHead}1;`, "e".repeat(16_384)),
    late,
    { floods: true }
  ),
  row(
    "endless trailers",
    "sends trailers without end",
    flood(`${chunkedHead}0\r\n`, `x-trailer: ${"t".repeat(1000)}\r\n`),
    broken(/overflow|header|terminated|parse/i)
  )
]

const protocol: ReadonlyArray<Behaviour> = [
  row(
    "endless headers",
    "sends headers without end",
    flood("HTTP/1.1 200 OK\r\n", `x-header: ${"h".repeat(1000)}\r\n`),
    broken(/overflow|header/i)
  ),
  row(
    "one endless header",
    "sends one header without end",
    flood("HTTP/1.1 200 OK\r\nx-header: ", "h".repeat(1000)),
    broken(/overflow|header/i)
  ),
  row(
    "endless 1xx",
    "sends 100 Continue without end",
    flood("", "HTTP/1.1 100 Continue\r\n\r\n".repeat(100)),
    refused(["Timeout", "Transport"], /no answer within|bad response/),
    { floods: true }
  ),
  row(
    "1xx before the answer",
    "sends 102 and 103 first",
    answer(({ document }) =>
      `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n${
        http(200, {}, document).toString()
      }`
    ),
    accepted()
  ),
  row(
    "100 before the answer",
    "sends 100 Continue though nobody expects it",
    answer(({ document }) => `HTTP/1.1 100 Continue\r\n\r\n${http(200, {}, document).toString()}`),
    // undici takes offence
    broken(/bad response/)
  ),
  row(
    "switches protocols",
    "answers 101 to a request that asked for no upgrade",
    answer(() => "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
    broken(/upgrade|101|socket|fetch failed/i)
  ),
  row(
    "NUL in a header",
    "sends a header with a NUL",
    answer(({ document }) => http(200, { "x-nul": "a\u0000b" }, document)),
    broken(malformed)
  ),
  row(
    "CR in a header",
    "sends a header with a bare CR",
    answer(({ document }) => http(200, { "x-cr": "a\rset-cookie: b" }, document)),
    broken(malformed)
  ),
  row(
    "header without a name",
    "sends a line that begins with a colon",
    answer(({ document }) => http(200, { "": "nameless" }, document)),
    broken(malformed)
  ),
  row(
    "header injection",
    "sends a header whose value holds a whole second answer",
    answer(({ document }) => http(200, { "x-split": `a\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK` }, document)),
    broken(malformed)
  ),
  row(
    "a second answer",
    "sends an answer more than it was asked for",
    (visit) => {
      // The client is done with a connection over which more comes than it asked for
      visit.socket.once("close", () => visit.letPass(pause)).once("end", () => visit.socket.end())
      onRequest(visit.socket, () =>
        visit.socket.write(
          Buffer.concat([
            keptAlive(visit),
            visit.number === 1 ? json(200, { access_token: "smuggled" }, { connection: "keep-alive" }) : Buffer.of()
          ])
        ))
    },
    accepted({ visits: 2 }),
    { asks: 2 }
  ),
  row("HTTP/0.9", "answers with the body alone", answer(({ document }) => document), broken(malformed)),
  row(
    "HTTP/1.0",
    "answers as in 1996",
    answer(({ document }) => `HTTP/1.0 200 OK\r\n\r\n${document}`),
    accepted()
  ),
  row(
    "HTTP/2",
    "answers with frames of HTTP/2",
    answer(() => Buffer.from("000012040000000000", "hex")),
    broken(malformed)
  ),
  row("HTTP/9.9", "answers with a version to come", answer(() => "HTTP/9.9 200 OK\r\n\r\n"), broken(malformed)),
  row(
    "status 99999",
    "answers with a status of five digits",
    answer(() => http("99999 Many", {}, "")),
    broken(malformed)
  ),
  row(
    "another protocol",
    "greets as a mail server does",
    ({ socket }) => void socket.write("220 ESMTP\r\n"),
    broken(
      malformed
    )
  ),
  row(
    "binary garbage",
    "answers with bytes of no protocol",
    answer(() => Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7919) % 256))),
    broken(malformed)
  )
]

/** What no later attempt mends. */
const final = (says: RegExp) => refused("Transport", says, { visits: 1 })

const tls: ReadonlyArray<Behaviour> = [
  row(
    "TLS",
    "is honest, with a certificate of a known authority",
    answer(({ document }) => http(200, {}, document)),
    accepted(),
    {
      scheme: "https",
      certificate: "trusted"
    }
  ),
  row("unknown authority", "has a certificate that it made itself", () => {}, final(/self[- ]signed|certificate/i), {
    scheme: "https",
    certificate: "unknown",
    deaf: true
  }),
  row("certificate expired", "has a certificate whose days are over", () => {}, final(/expired/i), {
    scheme: "https",
    certificate: "expired",
    deaf: true
  }),
  row("certificate of another", "has a certificate of another host", () => {}, final(/altnames|does not match/i), {
    scheme: "https",
    certificate: "other host",
    deaf: true
  }),
  row(
    "TLS on a plain port",
    "speaks plain HTTP where TLS is due",
    ({ socket }) => {
      socket.once("data", () => socket.end(http(400, {}, "")))
    },
    final(/SSL|TLS|wrong version/i),
    {
      scheme: "https"
    }
  ),
  row("plain on a TLS port", "speaks TLS where plain HTTP is due", () => {}, broken(cut), {
    certificate: "trusted",
    deaf: true
  }),
  row(
    "TLS alert",
    "answers the handshake with an alert",
    ({ socket }) => {
      socket.once("data", () => socket.end(Buffer.from("15030100020228", "hex")))
    },
    final(/alert|handshake|SSL/i),
    { scheme: "https" }
  ),
  row(
    "TLS cut",
    "closes amid the handshake",
    ({ socket }) => {
      socket.once("data", () => socket.end(Buffer.from("160303", "hex")))
    },
    broken(/TLS|disconnected|socket/i),
    { scheme: "https" }
  ),
  row("TLS never", "never answers the handshake", silent, late, { scheme: "https" })
]

export const transport: ReadonlyArray<Behaviour> = [...connections, ...framing, ...protocol, ...tls]
