/** Limits of time that only a hang reaches, in place of defaults that a busy machine might. */
import { hang } from "../../core/test/support/hang.js"

export const unhurried = {
  tokenRequest: { timeout: hang },
  maxWait: hang,
  storeTimeout: hang,
  leaseDuration: hang,
  http: { connectTimeout: hang }
}

export const unhurriedRedis = { connectTimeout: hang, commandTimeout: hang }
