// Who may import whom, for dependency-cruiser. Imports only run down: the client asks the provider, the provider the
// endpoint and the store; what is said of a failure knows none of them, and nothing of the library knows the test kit.
const wings = (...names) => `^packages/core/src/(${names.join("|")})/`

const forbid = (name, from, to) => ({
  name,
  severity: "error",
  from: { path: from },
  to: { path: to }
})

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    { name: "no cycles", severity: "error", from: {}, to: { circular: true } },
    forbid("the provider knows no client", wings("provider"), wings("client", "testing")),
    forbid(
      "an endpoint knows neither provider, client nor store",
      wings("endpoint"),
      wings("provider", "client", "store", "testing")
    ),
    forbid("a store knows neither provider nor client", wings("store"), wings("provider", "client", "testing")),
    forbid(
      "what is disclosed knows no other wing",
      wings("disclosure"),
      wings("client", "provider", "endpoint", "store", "testing")
    ),
    forbid("nothing knows the test kit", "^packages/(core|node|cli)/src/(?!testing/)", wings("testing")),
    forbid("core knows neither Node nor the other packages", "^packages/core/src/", "^packages/(?!core/)|^node:"),
    {
      name: "core imports no module of Node",
      severity: "error",
      from: { path: "^packages/core/src/" },
      to: { dependencyTypes: ["core"] }
    },
    forbid("node does not know the command", "^packages/node/src/", "^packages/cli/"),
    forbid(
      "a package enters another by its front",
      "^packages/(node|cli)/src/",
      "^packages/core/src/[^/]+/(?!index\\.ts)"
    )
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      conditionNames: ["@effect-alf/source", "import", "types", "default"],
      exportsFields: ["exports"]
    }
  }
}
