import { median } from "./Statistics.js"

/** What is measured of one subject in one round, by the name of the measure. */
export type Sample = Readonly<Record<string, number>>

export interface Subject {
  readonly name: string
  readonly sample: () => Promise<Sample>
}

/** All that was measured, by subject: one sample for each round. */
export type Samples = ReadonlyMap<string, ReadonlyArray<Sample>>

export interface Options {
  readonly rounds: number
  /** Rounds that come first and do not count. */
  readonly warmUps: number
}

/** Begins with another one in each round, and goes the other way round in every second: none always follows the same. */
export const order = <A>(subjects: ReadonlyArray<A>, round: number): ReadonlyArray<A> => {
  const start = round % Math.max(1, subjects.length)
  const rotated = [...subjects.slice(start), ...subjects.slice(0, start)]
  return round % 2 === 0 ? rotated : rotated.reverse()
}

/** Measures every subject once in each round. */
export const measure = async (subjects: ReadonlyArray<Subject>, { rounds, warmUps }: Options): Promise<Samples> => {
  const samples = new Map<string, Array<Sample>>(subjects.map(({ name }) => [name, []]))
  for (let round = -warmUps; round < rounds; round++) {
    for (const { name, sample } of order(subjects, round + warmUps)) {
      const result = await sample()
      if (round >= 0) samples.get(name)?.push(result)
    }
  }
  return samples
}

/** One measure of one subject, round by round. */
export const values = (samples: Samples, subject: string, measure: string): ReadonlyArray<number> =>
  (samples.get(subject) ?? []).map((sample) => sample[measure])

/** The medians of so many samples each: short ones, of which the machine spoils only some, count as one. */
export const condense = (samples: Samples, size: number): Samples =>
  new Map([...samples].map(([subject, all]) => [
    subject,
    Array.from({ length: Math.floor(all.length / size) }, (_, index) => {
      const group = all.slice(index * size, (index + 1) * size)
      return Object.fromEntries(Object.keys(group[0]).map((key) => [key, median(group.map((sample) => sample[key]))]))
    })
  ]))
