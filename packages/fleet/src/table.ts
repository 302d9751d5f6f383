import * as Scenario from "./Scenario.js"
import * as Simulation from "./Simulation.js"
for (let i = 0; i < 30; i++) {
  const t = performance.now()
  const report = Simulation.run(
    { ...Scenario.defaults, endpoint: { ...Scenario.defaults.endpoint, lifetime: 20_000 } },
    i
  )
  console.log(Math.round(performance.now() - t), report.calls)
}
