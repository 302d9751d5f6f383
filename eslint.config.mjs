import * as effect from "@effect/eslint-plugin"
import js from "@eslint/js"
import jsdoc from "eslint-plugin-jsdoc"
import { builtinModules } from "node:module"
import tseslint from "typescript-eslint"

const documented = ["packages/core/src/*.ts", "packages/core/src/testing/*.ts", "packages/node/src/*.ts"]

const count = (comment, tag) => comment.value.match(new RegExp(`^[\\s*]*@${tag}\\b`, "gm"))?.length ?? 0

/** A module says since when it exists, an export also what it is for and under which heading it belongs. */
const docTags = {
  meta: {
    type: "problem",
    schema: [],
    messages: {
      file: "A module begins with a doc comment that has one @since, apart from the first export's own.",
      description: "Say in a line what this export is for, before its tags.",
      tag: "The doc comment of an export has exactly one @{{tag}}, this one has {{found}}."
    }
  },
  create: ({ report, sourceCode }) => {
    const docsBefore = (node) =>
      sourceCode.getCommentsBefore(node).filter(({ type, value }) => type === "Block" && value.startsWith("*"))
    return {
      Program(node) {
        const [first] = node.body
        const [doc, own] = first === undefined ? [] : docsBefore(first)
        const isOwn = first?.type === "ExportNamedDeclaration" && own === undefined
        if (doc === undefined || isOwn || count(doc, "since") !== 1) {
          report({ loc: { line: 1, column: 0 }, messageId: "file" })
        }
      },
      ExportNamedDeclaration(node) {
        const doc = docsBefore(node).at(-1)
        if (node.declaration === null || doc === undefined || count(doc, "internal") > 0) return
        if (/^[\s*]*(@|$)/.test(doc.value)) report({ node, messageId: "description" })
        for (const tag of ["since", "category"]) {
          const found = count(doc, tag)
          if (found !== 1) report({ node, messageId: "tag", data: { tag, found } })
        }
      }
    }
  }
}

const time = "Time only through Clock, so that TestClock can move it."
const random = "Randomness only through Random."
const runtime = "Not in every runtime: core must run in a browser and on the edge."
const deep =
  "To chai every Option, Either and Exit equals every other: take deepStrictEqual of @effect/vitest/utils, " +
  "and compare what is Redacted by its value."
const timers = ["setTimeout", "setInterval", "setImmediate"]
const node = ["process", "Buffer", "global", "require", "__dirname", "__filename"]

export default tseslint.config(
  { ignores: ["**/dist/", "**/build/", "**/coverage/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  tseslint.configs.recommended,
  effect.configs.dprint,
  {
    rules: {
      "@effect/dprint": ["error", {
        config: {
          indentWidth: 2,
          lineWidth: 120,
          semiColons: "asi",
          quoteStyle: "alwaysDouble",
          trailingCommas: "never",
          operatorPosition: "maintain",
          "arrowFunction.useParentheses": "force"
        }
      }],
      "@typescript-eslint/array-type": ["error", { default: "generic", readonly: "generic" }],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-empty-object-type": "off",
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/no-namespace": "off",
      "@typescript-eslint/no-unused-vars": ["error", {
        argsIgnorePattern: "^_",
        varsIgnorePattern: "^_",
        caughtErrorsIgnorePattern: "^_",
        destructuredArrayIgnorePattern: "^_",
        ignoreRestSiblings: true
      }],
      "no-console": "error",
      "object-shorthand": "error",
      "require-yield": "off"
    }
  },
  {
    files: ["packages/*/test/**/*.ts"],
    rules: {
      "no-restricted-syntax": [
        "error",
        { selector: "MemberExpression[object.name='assert'][property.name=/deep/i]", message: deep }
      ]
    }
  },
  {
    // The rooms of a wing are nobody's but ours: what they say is said beside the code
    files: documented,
    plugins: { jsdoc, local: { rules: { "doc-tags": docTags } } },
    rules: {
      "jsdoc/check-alignment": "error",
      "jsdoc/check-tag-names": ["error", { definedTags: ["category", "since"] }],
      "jsdoc/require-jsdoc": ["error", {
        publicOnly: { ancestorsOnly: false, esm: true, cjs: false, window: false },
        exemptOverloadedImplementations: true,
        skipInterveningOverloadedDeclarations: true,
        contexts: [
          "TSEnumDeclaration",
          "TSInterfaceDeclaration",
          "TSModuleDeclaration",
          "TSTypeAliasDeclaration",
          "VariableDeclaration"
        ],
        require: { ClassDeclaration: true, FunctionDeclaration: true }
      }],
      "local/doc-tags": "error"
    }
  },
  {
    files: ["packages/core/src/**/*.ts"],
    rules: {
      "no-restricted-globals": [
        "error",
        ...timers.map((name) => ({ name, message: time })),
        ...node.map((name) => ({ name, message: runtime }))
      ],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: time },
        { object: "performance", property: "now", message: time },
        { object: "Math", property: "random", message: random },
        ...timers.map((property) => ({ object: "globalThis", property, message: time })),
        ...node.map((property) => ({ object: "globalThis", property, message: runtime }))
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: time },
        { selector: "CallExpression[callee.name='Date']", message: time }
      ],
      "no-restricted-imports": ["error", {
        paths: builtinModules.map((name) => ({ name, message: runtime })),
        patterns: [
          {
            group: [
              "node:*",
              "@effect/platform-node",
              "@effect/platform-node/*",
              "@effect-alf/node",
              "@effect-alf/node/*"
            ],
            message: runtime
          },
          {
            group: ["@effect-alf/core", "@effect-alf/core/*"],
            message: "Import a module of the same package by its file."
          }
        ]
      }]
    }
  },
  {
    files: ["packages/checks/**", "packages/examples/src/**", "packages/fleet/src/table.ts"],
    rules: { "no-console": "off" }
  }
)
