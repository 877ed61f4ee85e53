/**
 * Helps to test programs that use this library.
 *
 * @since 0.1.0
 */
export * as TestPoller from "./TestPoller.ts"
