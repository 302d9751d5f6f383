/** Prints what each situation costs, beside what it cost when the protocol was chosen. SEEDS=3 is faster. */
import * as Measurement from "./Measurement.js"
import { situations } from "./Situations.js"

const seeds = Number(process.env.SEEDS ?? 20)

const number = (n: number) => n.toLocaleString("en", { maximumFractionDigits: 2 })

console.log("| situation | processes | measure | plain | chosen | measured |")
console.log("| --- | --- | --- | --- | --- | --- |")
for (const situation of situations) {
  for (const processes of situation.fleets) {
    const measured = Measurement.take(situation, processes, seeds)
    const cells = [
      situation.name,
      processes,
      measured.map(({ name }) => name).join("; "),
      situation.plain,
      situation.chosen,
      measured.map(({ atMost, mean }) => mean > atMost ? `**${number(mean)}**` : number(mean)).join("; ")
    ]
    console.log(`| ${cells.join(" | ")} |`)
  }
}
