/** All clients that are measured, in the order of the tables. */
import type { Contender } from "./Client.js"
import { axiosOAuth, stubbedAxios } from "./clients/axiosOAuth.js"
import { azurePipeline, stubbedAzurePipeline } from "./clients/azurePipeline.js"
import { badgateway, stubbedBadgateway } from "./clients/badgateway.js"
import { effectAlf } from "./clients/effectAlf.js"
import { googleAuth, stubbedGoogleAuth } from "./clients/googleAuth.js"
import { oidcInterceptor } from "./clients/oidcInterceptor.js"
import { openidClient, stubbedOpenidClient } from "./clients/openidClient.js"
import { nodeHttp, platformFetch, platformUndici } from "./clients/platform.js"
import { simpleOAuth2, stubbedSimpleOAuth2 } from "./clients/simpleOAuth2.js"
import { undici } from "./clients/undici.js"
import type { Stubbed } from "./Stubbed.js"

/** Other clients that get their tokens themselves. */
export const peers: ReadonlyArray<Contender> = [
  simpleOAuth2,
  openidClient,
  badgateway,
  axiosOAuth,
  azurePipeline,
  googleAuth,
  oidcInterceptor
]

/** The same, over a transport that takes no time. */
export const stubbedPeers = (): ReadonlyArray<Stubbed> => [
  stubbedSimpleOAuth2(),
  stubbedOpenidClient(),
  stubbedBadgateway(),
  stubbedAxios(),
  stubbedAzurePipeline(),
  stubbedGoogleAuth()
]

/** What a request costs without any of it. */
export const constantHeaders: ReadonlyArray<Contender> = [undici, nodeHttp, platformUndici, platformFetch]

export const contenders: ReadonlyArray<Contender> = [effectAlf, ...constantHeaders, ...peers]
