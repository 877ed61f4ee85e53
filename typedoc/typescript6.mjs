/**
 * Gives typedoc the compiler API of TypeScript 6, which TypeScript 7 does not have.
 *
 * `npm run docs` loads this file before typedoc. Remove it, with `typescript-6` and `overrides` in package.json, once
 * typedoc works with TypeScript 7.
 */
import { registerHooks } from "node:module"

registerHooks({
  resolve: (specifier, context, nextResolve) =>
    nextResolve(specifier === "typescript" ? "typescript-6" : specifier, context)
})
