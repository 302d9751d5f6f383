/** Makes the page "Errors" of its sections. */
import { Array as Arr, Effect } from "effect"
import { alone, type Section, sections, type Situation } from "./Situations.js"

const beginning = `# Errors

Search for the part of your message that is no address, number or name, such as \`answered 401 invalid_client\`. What to do is above it. \`…\` stands for what differs.

\`npx -p @effect-alf/cli alf doctor\` ([the command](command.md)) finds most causes. No message contains a secret or token. Errors of the API are platform's \`HttpClientError\`.
`

const concurrency = 20

/** Keys of entries of a store. */
const withoutKeys = (text: string) => text.replaceAll(/[\w-]{43}(#\w+)?/g, "…")

const situationsOf = ({ groups, sections = [] }: Section): ReadonlyArray<Situation> => [
  ...groups.flatMap(({ messages }) => messages),
  ...sections.flatMap(situationsOf)
]

/** The page, with the messages that the situations cause now. */
export const make = Effect.gen(function*() {
  const situations = sections.flatMap(situationsOf)
  // Most only wait: each has its own clock
  const places = yield* Effect.makeSemaphore(concurrency)
  const texts = yield* Effect.forEach(
    situations,
    (situation) => Effect.scoped(situation).pipe(places.withPermits(alone.has(situation) ? concurrency : 1)),
    { concurrency }
  )
  const said = new Map(Arr.zip(situations, texts))

  const render = (section: Section, heading: string, outer?: RegExp): ReadonlyArray<string> => {
    const { after, groups, introduction, leavesOut = outer, sections = [], title } = section
    const shown = (situation: Situation) =>
      (said.get(situation) ?? "").split("\n").map((line) => {
        const text = withoutKeys(line)
        return leavesOut === undefined ? text : text.replaceAll(leavesOut, (part) => text.startsWith(part) ? "" : "…")
      })
    return [
      `${heading} ${title}`,
      introduction,
      ...groups.flatMap(({ advice, messages }) => [
        advice,
        `\`\`\`\n${Arr.dedupe(messages.flatMap(shown)).join("\n")}\n\`\`\``
      ]),
      ...(after === undefined ? [] : [after]),
      ...sections.flatMap((section) => render(section, `${heading}#`, leavesOut))
    ]
  }
  return `${[beginning.trimEnd(), ...sections.flatMap((section) => render(section, "##"))].join("\n\n")}\n`
})
