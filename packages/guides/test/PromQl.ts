/** As much of PromQL as the alerts speak, read by Prometheus' own grammar, over series that were recorded. */
import type { SyntaxNode } from "@lezer/common"
import { parser } from "@prometheus-io/lezer-promql"

export type Labels = Readonly<Record<string, string>>

/** A value of a series, whose name is the label `__name__`. */
export interface Sample {
  readonly labels: Labels
  readonly value: number
}

/** What was found at one time (seconds). */
export interface Scrape {
  readonly at: number
  readonly samples: ReadonlyArray<Sample>
}

type Vector = ReadonlyArray<Sample>

/** The query as a tree; throws where Prometheus would not take it. */
export const parse = (query: string): SyntaxNode => {
  const tree = parser.parse(query)
  tree.iterate({
    enter: ({ from, type }) => {
      if (type.isError) throw new Error(`not PromQL at ${from}: ${query}`)
    }
  })
  return childrenOf(tree.topNode)[0]
}

/** What the query finds at a time (seconds). */
export const evaluate = (query: string, scrapes: ReadonlyArray<Scrape>, now: number): Vector => {
  const textOf = ({ from, to }: SyntaxNode) => query.slice(from, to)

  const vector = (node: SyntaxNode): Vector => {
    const [first, second, ...rest] = childrenOf(node)
    switch (node.name) {
      case "BinaryExpr":
        return binary(second.name, vector(first), rest)
      case "AggregateExpr":
        return aggregate(textOf(first), labelsIn(second), vector(childrenOf(rest[0])[0]))
      case "FunctionCall":
        return call(textOf(first), childrenOf(second))
      case "VectorSelector":
        return instant(node, now)
      case "ParenExpr":
        return vector(first)
      case "OffsetExpr":
        return instant(first, now - secondsOf(rest[0]))
      default:
        throw new Error(`not spoken here: ${node.name} in ${query}`)
    }
  }

  const binary = (operator: string, left: Vector, rest: ReadonlyArray<SyntaxNode>): Vector => {
    const right = rest[rest.length - 1]
    const identity = ({ labels }: Sample) =>
      keyOf(rest.length > 1 ? only(labels, labelsIn(rest[0])) : without(labels, "__name__"))
    const notIn = (others: Vector) => {
      const identities = others.map(identity)
      return (sample: Sample) => !identities.includes(identity(sample))
    }
    switch (operator) {
      case "Gtr":
        return left.filter(({ value }) => value > Number(textOf(right)))
      case "Unless":
        return left.filter(notIn(vector(right)))
      case "Or":
        return [...left, ...vector(right).filter(notIn(left))]
      default:
        throw new Error(`not spoken here: ${operator} in ${query}`)
    }
  }

  const labelsIn = (node: SyntaxNode): ReadonlyArray<string> =>
    node.getChild("GroupingLabels")!.getChildren("LabelName").map(textOf)

  const call = (name: string, args: ReadonlyArray<SyntaxNode>): Vector => {
    switch (name) {
      case "increase":
        return increase(args[0])
      case "rate":
        return increase(args[0]).map(({ labels, value }) => ({ labels, value: value / secondsOf(args[0].lastChild!) }))
      case "histogram_quantile":
        return quantile(Number(textOf(args[0])), vector(args[1]))
      default:
        throw new Error(`not spoken here: ${name} in ${query}`)
    }
  }

  const secondsOf = (duration: SyntaxNode): number => {
    const [, count, unit] = /^(\d+)([mh])$/.exec(textOf(duration))!
    return Number(count) * (unit === "h" ? 3600 : 60)
  }

  const instant = (selector: SyntaxNode, at: number): Vector =>
    scrapes.filter((scrape) => scrape.at <= at).at(-1)?.samples.filter(matches(selector)) ?? []

  /** Prometheus extends it to the ends of the range, too: by a factor, which no alert asks about. */
  const increase = (matrix: SyntaxNode): Vector => {
    const isWanted = matches(matrix.firstChild!)
    const found = scrapes
      .filter(({ at }) => at > now - secondsOf(matrix.lastChild!) && at <= now)
      .flatMap(({ samples }) => samples.filter(isWanted))
    return grouped(found, (labels) => labels).filter(([, samples]) => samples.length > 1).map(([labels, samples]) => ({
      labels: without(labels, "__name__"),
      value: samples[samples.length - 1].value - samples[0].value
    }))
  }

  const matches = (selector: SyntaxNode) => {
    const name = selector.getChild("Identifier")
    const matchers = selector.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher").map((matcher) => {
      const [label, operator, text] = childrenOf(matcher).map(textOf)
      const pattern = operator.endsWith("~") ? new RegExp(`^(?:${JSON.parse(text)})$`) : undefined
      const value: unknown = JSON.parse(text)
      const isMatch = (found: string) => pattern === undefined ? found === value : pattern.test(found)
      return ({ labels }: Sample) => isMatch(labels[label] ?? "") === !operator.startsWith("!")
    })
    const wanted = name === null ? undefined : textOf(name)
    return (sample: Sample) =>
      (wanted === undefined || sample.labels.__name__ === wanted) &&
      (matchers ?? []).every((matcher) => matcher(sample))
  }

  return vector(parse(query))
}

const childrenOf = (node: SyntaxNode): ReadonlyArray<SyntaxNode> => {
  const children: Array<SyntaxNode> = []
  for (let child = node.firstChild; child !== null; child = child.nextSibling) children.push(child)
  return children
}

const keyOf = (labels: Labels): string => JSON.stringify(Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1))

const only = (labels: Labels, names: ReadonlyArray<string>): Labels =>
  Object.fromEntries(Object.entries(labels).filter(([name]) => names.includes(name)))

const without = (labels: Labels, ...names: ReadonlyArray<string>): Labels =>
  Object.fromEntries(Object.entries(labels).filter(([name]) => !names.includes(name)))

const grouped = (vector: Vector, labelsOf: (labels: Labels) => Labels): ReadonlyArray<[Labels, Vector]> => {
  const groups = new Map<string, [Labels, Array<Sample>]>()
  for (const sample of vector) {
    const labels = labelsOf(sample.labels)
    const group = groups.get(keyOf(labels))
    if (group === undefined) groups.set(keyOf(labels), [labels, [sample]])
    else group[1].push(sample)
  }
  return Array.from(groups.values())
}

const aggregates: Readonly<Record<string, (values: ReadonlyArray<number>) => number>> = {
  min: (values) => Math.min(...values),
  sum: (values) => values.reduce((sum, value) => sum + value, 0)
}

const aggregate = (name: string, labels: ReadonlyArray<string>, vector: Vector): Vector =>
  grouped(vector, (all) => only(all, labels)).map(([labels, samples]) => ({
    labels,
    value: aggregates[name](samples.map(({ value }) => value))
  }))

const quantile = (q: number, vector: Vector): Vector =>
  grouped(vector, (labels) => without(labels, "le")).map(([labels, samples]) => {
    const buckets = samples
      .map(({ labels: { le }, value }) => ({ le: le === "+Inf" ? Infinity : Number(le), value }))
      .sort((a, b) => a.le - b.le)
    const rank = q * buckets[buckets.length - 1].value
    const index = buckets.findIndex(({ value }) => value >= rank)
    const below = buckets[index - 1] ?? { le: 0, value: 0 }
    const { le, value } = buckets[index]
    return {
      labels,
      value: le === Infinity ? below.le : below.le + (le - below.le) * (rank - below.value) / (value - below.value)
    }
  })
