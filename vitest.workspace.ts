export default ["vitest.live.config.ts", "packages/*/vitest.config.ts"]
