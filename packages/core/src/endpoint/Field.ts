/**
 * The fields of what a server says, in an answer or in its metadata: each has a
 * schema that says in words what is wrong with it, and shows no part of it.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"

/**
 * Says `message` where the value is another. Only for the innermost schema: an
 * outer message would hide the inner ones.
 */
export const is = <A, I>(schema: Schema.Schema<A, I>, message: string): Schema.Schema<A, I> =>
  schema.annotations({ message: () => ({ message, override: true }) })

/** Also says what `f` says of a value that it does not let pass. */
export const check = <A, I>(schema: Schema.Schema<A, I>, f: (value: A) => true | string): Schema.Schema<A, I> =>
  schema.pipe(Schema.filter((value) => f(value)))

/** A field that must be there. */
export const required = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.propertySignature(schema).annotations({ missingMessage: () => "is missing" })

/** One that may be missing or null. */
export const optional = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.optionalWith(schema, { nullable: true, exact: true, as: "Option" })

export const Text = is(Schema.String, "is not a string")

export const Flag = is(Schema.Boolean, "is not true or false")

export const Names = is(Schema.Array(is(Schema.String, "is not a list of names")), "is not a list of names")

export const Dictionary = is(Schema.Record({ key: Schema.String, value: Schema.Unknown }), "is not an object")

/** One string, or a list of them. */
export const texts = (message: string) => is(Schema.Union(Schema.String, Schema.Array(Schema.String)), message)

/** A number of seconds; some servers write it as a string. */
export const Seconds = is(Schema.Union(Schema.Number, Schema.NumberFromString), "is not a number of seconds")

/** Reads the fields of an object, or names the one at fault and says what is wrong with it. */
export const decode = <A, I>(schema: Schema.Schema<A, I>): (value: unknown) => Either.Either<A, string> => {
  const decode = decodeOrFault(schema)
  return (value) => Either.mapLeft(decode(value), ({ says }) => says)
}

/** What was read, and what is wrong with the fields that could not be. */
export interface Lenient<A> {
  readonly fields: A
  readonly unread: ReadonlyArray<string>
}

/** The same, but that a field which is not `essential` and cannot be read counts as if it were not there. */
export const decodeLenient = <A, I>(schema: Schema.Schema<A, I>, essential: ReadonlyArray<string>) => {
  const decode = decodeOrFault(schema)
  const from = (value: object, unread: ReadonlyArray<string>): Either.Either<Lenient<A>, string> =>
    Either.match(decode(value), {
      onRight: (fields) => Either.right({ fields, unread }),
      onLeft: ({ name, says }) =>
        essential.includes(name) || !(name in value)
          ? Either.left(says)
          : from(Struct.omit(value as Record<string, unknown>, name), [...unread, says])
    })
  return (value: object) => from(value, [])
}

const decodeOrFault = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownEither(schema)
  return (value: unknown) =>
    Either.mapLeft(decode(value), (error) => {
      const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
      return issue === undefined
        ? { name: "", says: "the JSON is not what it should be" }
        : { name: String(issue.path[0]), says: `${issue.path.join(".")} ${issue.message}` }
    })
}
