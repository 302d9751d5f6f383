import { PCGRandom } from "effect/Utils"

/** From the least to the most, both in milliseconds. */
export type Range = readonly [least: number, most: number]

/** Chance that comes out the same for the same seed. */
export class Dice {
  private readonly random: PCGRandom

  constructor(seed: number) {
    this.random = new PCGRandom(seed)
    // The first numbers of neighbouring seeds are alike
    for (let i = 0; i < 4; i++) this.random.number()
  }

  /** From 0 up to but not including 1. */
  number(): number {
    return this.random.number()
  }

  /** A whole number of the range, its ends included. */
  within([least, most]: Range): number {
    return least + Math.floor(this.random.number() * (most - least + 1))
  }

  happens(probability: number): boolean {
    return probability > 0 && this.random.number() < probability
  }

  pick<A>(items: ReadonlyArray<A>): A {
    return items[Math.floor(this.random.number() * items.length)]
  }

  /** Other dice, so that how often one of them is thrown does not change what the others show. */
  split(): Dice {
    return new Dice(this.within([0, 0x7fffffff]))
  }
}
