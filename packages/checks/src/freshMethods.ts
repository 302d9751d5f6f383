// Before each test file. `layer` of @effect/vitest puts the methods of its layer on the one `it` there is, and the files
// that follow in the same worker would run with a layer that is closed, and without a TestClock.
import { it, makeMethods } from "@effect/vitest"

makeMethods(it)
