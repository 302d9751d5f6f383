import { HttpProxy } from "@effect-alf/node"
import { assert, describe, it } from "@effect/vitest"
import { rows } from "../../core/test/support/Rows.js"

describe("HttpProxy.isDirect", () => {
  const table: ReadonlyArray<readonly [noProxy: string, url: string, isDirect: boolean]> = [
    ["", "http://a.example.com", false],
    ["*", "https://a.example.com", true],
    ["a.example.com, *", "https://b.example.com", true],
    // Names
    ["example.com", "https://example.com", true],
    ["example.com", "https://a.example.com", true],
    [".example.com", "https://example.com", true],
    ["*.Example.com", "https://a.example.com", true],
    ["example.com", "https://notexample.com", false],
    ["a.test example.com", "https://example.com", true],
    ["example.com:8080", "http://example.com:8080", true],
    ["example.com:8080", "http://example.com", false],
    ["example.com:443", "https://example.com", true],
    // Addresses
    ["10.1.2.3", "http://10.1.2.3:8080", true],
    ["10.1.2.3:80", "http://10.1.2.3", true],
    ["10.1.2.3:81", "http://10.1.2.3", false],
    ["[::1]", "http://[::1]:8080", true],
    ["::1", "http://[::1]", true],
    ["0:0:0:0:0:0:0:1", "http://[::1]", true],
    ["[::1]:8080", "http://[::1]:8080", true],
    ["[::1]:8080", "http://[::1]", false],
    // Ranges (RFC 4632 §3.1, RFC 4291 §2.3)
    ["10.0.0.0/8", "http://10.255.0.1", true],
    ["10.0.0.0/8", "http://11.0.0.1", false],
    ["172.16.0.0/12,192.168.0.0/16", "https://192.168.7.1:8443", true],
    ["192.168.7.1/32", "http://192.168.7.1", true],
    ["0.0.0.0/0", "http://8.8.8.8", true],
    ["0.0.0.0/0", "http://[2001:db8::1]", false],
    ["fd00::/8", "http://[fd12:3456::1]", true],
    ["[fd00::]/8", "http://[fd12:3456::1]", true],
    ["fd00::/8", "http://[fe80::1]", false],
    ["10.0.0.0/8", "http://[::ffff:10.0.0.1]", true],
    // No name is looked up, and what is no range says nothing
    ["127.0.0.0/8", "http://localhost", false],
    ["10.0.0.0/33", "http://10.0.0.1", false],
    ["10.0.0.0/", "http://10.0.0.0", false],
    ["10.0.0.0/x, fd00::/129", "http://[fd00::1]", false]
  ]
  it("decides which hosts NO_PROXY excludes, as curl and Go do", () =>
    rows(table, ([noProxy, url]) => `NO_PROXY=${noProxy}, ${url}`, ([noProxy, url, isDirect]) => {
      assert.strictEqual(HttpProxy.isDirect(noProxy)(new URL(url)), isDirect)
    }))
})
