/** All clients that are measured, in the order of the tables. */
import type { Contender } from "./Client.js"
import { axiosOAuth } from "./clients/axiosOAuth.js"
import { azurePipeline } from "./clients/azurePipeline.js"
import { badgateway } from "./clients/badgateway.js"
import { effectAlf } from "./clients/effectAlf.js"
import { googleAuth } from "./clients/googleAuth.js"
import { openidClient } from "./clients/openidClient.js"
import { nodeHttp, platformFetch, platformUndici } from "./clients/platform.js"
import { simpleOAuth2 } from "./clients/simpleOAuth2.js"
import { undici } from "./clients/undici.js"

/** Other clients that get their tokens themselves. */
export const peers: ReadonlyArray<Contender> = [
  simpleOAuth2,
  openidClient,
  badgateway,
  axiosOAuth,
  azurePipeline,
  googleAuth
]

/** What a request costs without any of it. */
export const constantHeaders: ReadonlyArray<Contender> = [undici, nodeHttp, platformUndici, platformFetch]

export const contenders: ReadonlyArray<Contender> = [effectAlf, ...constantHeaders, ...peers]
