/**
 * The fields of a server's response or metadata. The schema of each says what
 * is wrong with a value, without showing it.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"

/**
 * Fails with `message` for any other value. Only for the innermost schema: an
 * outer message would hide the inner ones.
 */
export const is = <A, I>(schema: Schema.Schema<A, I>, message: string): Schema.Schema<A, I> =>
  schema.annotations({ message: () => ({ message, override: true }) })

/** Also fails with what `f` returns for a value that it does not accept. */
export const check = <A, I>(schema: Schema.Schema<A, I>, f: (value: A) => true | string): Schema.Schema<A, I> =>
  schema.pipe(Schema.filter((value) => f(value)))

/** A required field. */
export const required = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.propertySignature(schema).annotations({ missingMessage: () => "is missing" })

/** A field that may be missing or null. */
export const optional = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.optionalWith(schema, { nullable: true, exact: true, as: "Option" })

export const Text = is(Schema.String, "is not a string")

export const Flag = is(Schema.Boolean, "is not true or false")

export const Names = is(Schema.Array(is(Schema.String, "is not a list of names")), "is not a list of names")

export const Dictionary = is(Schema.Record({ key: Schema.String, value: Schema.Unknown }), "is not an object")

/** A string, or a list of strings. */
export const texts = (message: string) => is(Schema.Union(Schema.String, Schema.Array(Schema.String)), message)

/** A number of seconds; some servers send it as a string. */
export const Seconds = is(Schema.Union(Schema.Number, Schema.NumberFromString), "is not a number of seconds")

/** Reads the fields of an object, or names the invalid field and says what is wrong with it. */
export const decode = <A, I>(schema: Schema.Schema<A, I>): (value: unknown) => Either.Either<A, string> => {
  const decode = decodeOrFault(schema)
  return (value) => Either.mapLeft(decode(value), ({ says }) => says)
}

/** The fields that were read, and what is wrong with the others. */
interface Lenient<A> {
  readonly fields: A
  readonly unread: ReadonlyArray<string>
}

/** The same, except that an unreadable field counts as absent unless it is `essential`. */
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

const decodeOrFault = <A, I>(schema: Schema.Schema<A, I>) => (value: unknown) =>
  // Effect makes the parser of a schema at its first use, and keeps it
  Either.mapLeft(Schema.decodeUnknownEither(schema)(value), (error) => {
    const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
    return issue === undefined
      ? { name: "", says: "the JSON is not what it should be" }
      : { name: String(issue.path[0]), says: `${issue.path.join(".")} ${issue.message}` }
  })
