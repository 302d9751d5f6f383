/**
 * Private keys of every type, made once at most, in every form in which a user has them.
 */
import type { JwtSigner } from "@effect-alf/core"
import type { KeyObject } from "node:crypto"
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto"

export const kinds = ["RSA", "P-256", "P-384", "P-521", "Ed25519"] as const

export type Kind = (typeof kinds)[number]

// A fixed test key; generating one takes as long as a hundred tests
const rsaPem = `-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCnouyXTgM4SINO
NPWRuMINunpnUqT+wUmkE1ZW2f5bchMNx/4q0gmi+bxIZZfewnq0J+5A+n8R4hf4
X15YUCZiwLBooZ3LT+Kehwn+iHwQiFe8lLCoU09hjSodqfhvjMlMWnmd91EPpBWm
rtlGNv+H8Gh7ZWzMsxkzEBeTP+XAi8PdY5gVsC8sYjthEmVv0dNhcy8A75XHnvNK
9WEApGCu6VxPftAKbrwRxd/ia3rgrqWsG3qCptjn7l4L9kEFbgSVqJkrxJ3T4Zpf
DARhX8q/xHMV+nIxgyHbdp2N6YPwuCpDmEgD8Vx1+lTiJ2/4lDiGcl88Kko3j7gf
V2Pom3/nAgMBAAECggEAOHq/jLDHi/B+cNyN+kVN+DMiZ2pkVcLIrWOofMWgma3C
9qsxmrq+bW8HvTqhYveSQN2NO85J/rv2yINVNZr3e+Eg7ne5QtVM7I1h1CSm7CkL
qmlMZcH/5kWZ8XmhTvAXqEZ5YDwBzyvA8bJKWQpRqLracOy4rfUPofEjiESIg4jn
oG1lTMEQGJlcJS3E0gIXMZzk6mgN63jiHlbdNniQfHfEU5hnE2xcedb3PTD2NiR/
5jDUhVhFeHCQyIiavoKXeyiDgQ79EqUgwhRXdkbZwIss6pH8caWHnZW2y/Y7kubd
BBfy0PkDmQpd1Vj/UWNP97NOyPgxEmD4GGTy73A4jQKBgQDcJn/jTrsqi6oe1+xb
LbeT2BAzzdqEjwjGSowykvjha5vCTDteuNMECeXIxgG5pd77vGyC4HJjGHwyaCGQ
PgLJxLcbR+ugdaIxQALRmEqwEQw1oy51QxgctZ05rXNiLtYz0GvF4wMuJS8TYJz1
oXtinl7+e3GekQ6LHQpvnAWUwwKBgQDC70DPBLDNEtVC+B19Uyn/CAsrHSKj1nO2
NR93a4KeDNxgqLw86Q+Gr0N3gcnG5eCYpcICBoqSDnhgXjjb5UCBlSu7Zp2iDX/W
2wBkbepowd+r5qr06xo8fX1gT0Ovq+JG1MidsDdQjsOVCDZZr+2jYsPvueAbWHoW
H8cWOuomDQKBgQDPYPjhf92xs0S6rz23mjYu7747fnOUoURrvfeZAHevqPVdrv/S
N5qXWFd7rIIdhlGpoxI4qwM1s+/yb8MGJFPuCv9NlI8yZP03FYxSMfpRJo3wzNnL
njtNeAs2NNzXJTWkM3YCP9lUE7TntP/GJqqa+IKViGU8MHqZsu6MulVLjwKBgFby
wMWWIgZW0Cj+4qhz39eRjum8JSdPEG3FZDOwEKLOub2jhdLlYbeBlWZIzeeZwYRU
6yRcJpLfQXI6lMIAj7U9BDSioM0XmF4NcS9al6QCVfInATodY6Z3kuTSdi51TIir
gJBVeVbFVxeyggufHTAzbZIQJpYL8OjNY8/Wl3pBAoGBAJOMfrCNx09yqlHZalo8
nx+qkjToDI0Xpudet35ykUv8/b02/xdetKbghwhTr4Igq9tI1z54DGlQDBQXNbgN
QWw2+e5TOIKM89DZRxo9M52g3bfPHOlFzzEyvpAucd+iY9jNk1b3mQ0XVNaE+YsC
2c8wJikWUsN7YLMgQGd4hGnW
-----END PRIVATE KEY-----
`

/** A key for RSASSA-PSS alone. */
export const pssPem = `-----BEGIN PRIVATE KEY-----
MIIEuwIBADALBgkqhkiG9w0BAQoEggSnMIIEowIBAAKCAQEA68aJ6Xy9gEHpePc1
3qZznFaINq2zUDznPZloC8VLJf2hIYJ798xrf/WZqJcv6yVKGIe0RNKwNewG+qNZ
+KisMZkZC8EukAHuKgsrlgyKNiv4URF4mruRFWU6EeYBTy8lwpq1B43Wx85J9290
3iHiNmQN91e7R97bMhv58JOGytCaTaRyjqyT5f/tSQy57s3i6eqEvgIb6u32FYqr
QMOXlxIwOVmQ3NxwENmod2+uEHgU5HfPW/NZBOZd/ando0al3iDJtoUTN1KJgAJ5
cmx1l0C8+esVnjGFm/4Tm5VtM9umRcyJKmywYKgBxIhEfqZqkau+wo6N/XYjrHUA
nqhw3QIDAQABAoIBAAksDJJqOV8DcWc0ysIyHH5A+YSTBk5BSEejr6IBl1ZPgxSw
JE10BNyR+9vMod8WcMb6hH9G6Pb4Cx91+lqLiUNWrtw/tCWDBbZZ/+SS8U+BL2RL
9zKhyFeaPAOVPIjNjzz+UruL/4Z/Vm5LRjMcA1ZVVxu/rHfzyfgtkXAT9SLvnmpM
NtUJeD2SZqXMY4l3cdLekvjXGGqkeIi1l9YxlpvmpuCusZD/8c/Nkxu6Mjbyqlwo
U4qIZZardQKTaWKVwsLTE+wd/SaaoybzNytTV2K7oNy+lBfJrcAR+BryZYHi0Vwe
sJLSxZLFwVx5GXZvICH6gyrdccjtiIaTtKT86jsCgYEA+4KSjn3flAn57pAefM53
wEjnwA3wM9H8n7EdZV8NsBysjDKco8QXsKjZOVLXvCjRVoESIgIojRojZ2fyvYC0
o9iJMcUGJOQa2aXJQ1gb+fkoxxyDw1bw2s7JlhkqoVugvVsrvmZdvBs1xJqXfFQC
kPjY+FKtw2AWUz4LmUQcPZsCgYEA7/wO0LYMYbTmF5rA0aZjXEi1d5SACFsgHJZR
mtn8g3gPtd22bLNm1NG/LOQZOyQPpKaA+B8bkNFnKzKEK6HtmVV8aEdBpx+tZOLf
R9JEkBgXsydpv2OkUnbhB8j00SNbETAbrT5TS3l6DsApHpFNY4CPLu2IQ2xKiBLQ
GlGBLucCgYBjxaJ54DknMuXw2z8c55Ldto4ow967z9tVRh+RLSny6Q0R+Knm1U1I
iVLSyKhIPjD9DeqxjwWjI/FTfgrvXfVK4gVatvv++nYkTP4QNw2yFkM06XzjqsOV
KV8Sqh0dMYoMU/SAbX9Vtb2YpnLdoT37YJxBthq0XJO+pehX/ortbQKBgBAX/Dpc
6wmmYwPUOfgVS3aF3b2ONOPakJW6MvDKi5eZdpxAqRozEcNV6ZcuGM8RhQcKr310
QJn+oQeRlLGEY3Wz+OrZVHrLsgog+M5NOJHdO8Gk8/+ExCFPnZmzDU/1KgdGDaUZ
l+Zo2BmjI17Mab8xgOipv0ieO4VSlageLSajAoGBALOhD0VhVyOTEVW/WOTnW9m3
P8Midr7X/tiOo7UaccIF/CMqDnOGEjZhagtgZGLV9gjK9YjXfTBXJlhHwlHjXOmF
mCHtPAnQf9N7ySBwgteeLxro4aI/Lma9zWOgYhKghXgG6pYEplBuQBds+u/oM9yy
twmUMNUzHtQ3wE3fM25J
-----END PRIVATE KEY-----
`

export const make = (kind: Exclude<Kind, "RSA">): KeyObject => {
  if (kind === "Ed25519") return generateKeyPairSync("ed25519").privateKey
  return generateKeyPairSync("ec", { namedCurve: kind }).privateKey
}

const made = new Map<Kind, KeyObject>()

export const keyOf = (kind: Kind): KeyObject => {
  const known = made.get(kind) ?? (kind === "RSA" ? createPrivateKey(rsaPem) : make(kind))
  made.set(kind, known)
  return known
}

export const pemOf = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString()

export const jwkOf = (key: KeyObject) => key.export({ format: "jwk" })

export const publicOf = (key: KeyObject): KeyObject => createPublicKey(key)

/** The algorithms that a kind signs with; the first is the default. */
export const algorithms: Record<Kind, ReadonlyArray<JwtSigner.Algorithm>> = {
  RSA: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  "P-256": ["ES256"],
  "P-384": ["ES384"],
  "P-521": ["ES512"],
  Ed25519: ["EdDSA", "Ed25519"]
}

/** What must never be seen of a key. */
export const secretsOf = (key: KeyObject): ReadonlyArray<string> => {
  // Node has no JWK of an RSASSA-PSS key
  const { d, dp, dq, p, q, qi } = key.asymmetricKeyType === "rsa-pss" ? {} : jwkOf(key)
  const lines = pemOf(key).split("\n").filter((line) => line !== "" && !line.startsWith("-----"))
  // The first line says only what type the key is of
  return [d, dp, dq, p, q, qi, ...lines.slice(1)].filter((text) => text !== undefined && text.length > 16) as Array<
    string
  >
}

/** A certificate of a test key, for tests that need any certificate. */
export const certificatePem = `-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUexTyj7fjvB5IZUAsr/G53NRiONYwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGY2xpZW50MCAXDTI2MTEyNDE3NDYyMVoYDzIxMjYxMDMxMTc0
NjIxWjARMQ8wDQYDVQQDDAZjbGllbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASvvkWA1y0yJ4hdMwFLOFYE68ZJaNLS6jBMvqzYhTlDbhUHpKLYhgKh+AJ65wak
pAd5tNCaQ8ofCq1Vi7TLQ89So1MwUTAdBgNVHQ4EFgQU2Ke56oEZwglTmOr24uYW
9Llu8oAwHwYDVR0jBBgwFoAU2Ke56oEZwglTmOr24uYW9Llu8oAwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAsoFaz2O3s8qjRasykf4bL1TZkPoc1
+u5NuVRFZzCXMQIhAKkTNXrl1umY8Zc9lz4HBK1mS114bxC9GfSfWF/ZbYMW
-----END CERTIFICATE-----
`
