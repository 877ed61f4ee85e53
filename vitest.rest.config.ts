import { only, testsWith } from "./test/support/only.ts"

process.env["LONG"] = "rest"

const long = new Set(testsWith(/support\/long\.ts"/))
const tables = testsWith(/\b(describeLayers|describeEveryLayer|describeTcp|nextLayerEntries)\(/)

/**
 * Of the tests that are the same on each layer, those that the short run leaves out. The files with a
 * long form run on all layers in that.
 */
export default only(tables.filter((file) => !long.has(file)))
