/** Answers that are too large, or become so when they are read. */
import { brotliCompressSync, constants, gzipSync } from "node:zlib"
import {
  accepted,
  answer,
  type Behaviour,
  chunk,
  chunkedHead,
  flood,
  http,
  json,
  ok,
  refused,
  row
} from "./Behaviour.js"
import { issued, longest, tokenOf } from "./Token.js"

const tooLarge = refused("InvalidResponse", /larger than \d+ bytes/)
const notToo = refused(["InvalidResponse", "Transport"], /larger than \d+ bytes|gzip|br|encod/i)

// Members of gzip may follow each other, and each is decompressed: a gigabyte without the work of making one
const zeros = gzipSync(Buffer.alloc(10_000_000), { level: 9 })
const gigabyte = Buffer.concat(Array.from({ length: 100 }, () => zeros))

/** Made once, by the first who is asked for it. */
const once = <A>(make: () => A): () => A => {
  let made: { readonly value: A } | undefined
  return () => (made ??= { value: make() }).value
}

const quarterGigabyte = once(() =>
  brotliCompressSync(Buffer.alloc(1 << 28), { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } })
)

const manyKeys = once(() => withField(`{${Array.from({ length: 100_000 }, (_, key) => `"${key}":0`).join(",")}}`))

const withField = (field: string) => `{"access_token":"${issued}","token_type":"Bearer","extra":${field}}`

/** Too large, whatever it was meant to be. */
export const floods: ReadonlyArray<Behaviour> = [
  row("300 kB", "answers with 300 kB", ok((document) => document + " ".repeat(300_000)), tooLarge),
  row(
    "300 kB in chunks",
    "answers with 300 kB, and does not say so",
    answer(() => `${chunkedHead}${chunk("x".repeat(300_000))}0\r\n\r\n`),
    tooLarge
  ),
  row("300 kB announced", "announces 300 kB, and sends nothing", ({ socket }) => {
    socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n"))
  }, tooLarge),
  row("endless body", "never stops", flood(chunkedHead, chunk("x".repeat(65_536))), tooLarge),
  row("endless body without chunks", "never stops", flood("HTTP/1.1 200 OK\r\n\r\n", "x".repeat(65_536)), tooLarge),
  row("endless whitespace", "never comes to the JSON", flood(chunkedHead, chunk(" ".repeat(65_536))), tooLarge),
  row(
    "endless error",
    "answers 500 without end",
    flood(chunkedHead.replace("200 OK", "500 Error"), chunk("x".repeat(65_536))),
    refused("Status", /larger than/, { visits: 2 })
  ),
  row(
    "gzip bomb",
    "answers with a gigabyte of zeros in a megabyte",
    answer(() => http(200, { "content-encoding": "gzip" }, gigabyte)),
    notToo
  ),
  row(
    "small gzip bomb",
    "answers with 200 MB of zeros in 200 kB",
    answer(() => http(200, { "content-encoding": "gzip" }, gigabyte.subarray(0, zeros.length * 20))),
    notToo
  ),
  row(
    "gzip bomb in chunks",
    "answers with a gigabyte of zeros, and does not say how many bytes",
    answer(() =>
      Buffer.concat([
        Buffer.from(chunkedHead.replace("\r\n\r\n", "\r\ncontent-encoding: gzip\r\n\r\n")),
        Buffer.from(`${gigabyte.length.toString(16)}\r\n`),
        gigabyte,
        Buffer.from("\r\n0\r\n\r\n")
      ])
    ),
    notToo
  ),
  row(
    "nested gzip bomb",
    "answers with a gigabyte of zeros in a few kB, compressed twice",
    answer(() => http(200, { "content-encoding": "gzip, gzip" }, gzipSync(gigabyte))),
    notToo
  ),
  row(
    "br bomb",
    "answers with 256 MB of zeros in 400 bytes",
    answer(() => http(200, { "content-encoding": "br" }, quarterGigabyte())),
    notToo
  ),
  row(
    "deflate bomb",
    "answers with 10 MB of spaces before the JSON",
    answer(({ document }) => http(200, { "content-encoding": "gzip" }, gzipSync(" ".repeat(10_000_000) + document))),
    notToo
  )
]

const tokens: ReadonlyArray<Behaviour> = [
  row(
    "token of 8 kB",
    "issues a token of 8 kB",
    ok(tokenOf({ access_token: issued.padEnd(8_000, "x") })),
    accepted({ token: issued.padEnd(8_000, "x") })
  ),
  row(
    "token of 200 kB",
    "issues a token that no server would take in a header",
    ok(tokenOf({ access_token: issued.padEnd(200_000, "x") })),
    refused("InvalidResponse", /access_token .*(long|characters)/)
  ),
  row(
    "token of 1 MB",
    "issues a token of 1 MB",
    ok(tokenOf({ access_token: issued.padEnd(1_000_000, "x") })),
    tooLarge
  ),
  row(
    "description of 200 kB",
    "explains an error at length",
    answer(() => json(400, { error: "invalid_scope", error_description: "why ".repeat(50_000) })),
    refused("OAuth", /400 invalid_scope: why/, { error: "invalid_scope" })
  ),
  row(
    "error code of 200 kB",
    "has a long name for an error",
    answer(() => json(400, { error: "e".repeat(200_000) })),
    refused(["OAuth", "Status"], /400/)
  ),
  row(
    "nested 100,000 deep",
    "answers with arrays in arrays",
    ok(withField("[".repeat(100_000) + "]".repeat(100_000))),
    accepted({ lifetime: null })
  ),
  row(
    "nothing but brackets",
    "answers with arrays that never close",
    ok("[".repeat(200_000)),
    refused("InvalidResponse", /JSON/)
  ),
  row(
    "100,000 keys",
    "answers with an object of 100,000 keys, a megabyte",
    ok(manyKeys),
    tooLarge
  ),
  row(
    "20,000 keys",
    "answers with all the keys that fit",
    ok(`{"access_token":"${issued}",${Array.from({ length: 20_000 }, (_, key) => `"${key}":0`).join(",")}}`),
    accepted({ lifetime: null })
  ),
  row(
    "huge number",
    "answers with a number of 100,000 digits",
    ok(`{"access_token":"${issued}","expires_in":${"9".repeat(100_000)}}`),
    accepted({ lifetime: longest })
  ),
  row(
    "100 cookies",
    "sets 100 cookies",
    answer(({ document }) =>
      http(
        200,
        { "set-cookie": Array.from({ length: 100 }, (_, index) => `cookie${index}=${"c".repeat(100)}`) },
        document
      )
    ),
    accepted()
  ),
  row(
    "10,000 spaces",
    "answers with much space around the JSON",
    answer(({ document }) => http(200, {}, `${" ".repeat(10_000)}${document}${"\n".repeat(10_000)}`)),
    accepted()
  )
]

export const size: ReadonlyArray<Behaviour> = [...floods, ...tokens]
