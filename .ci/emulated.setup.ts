/** Runs within the emulated Node, before each file of tests. */
if (process.arch !== process.env["EMULATED_ARCH"]) throw new Error(`these tests run on ${process.arch}`)

// The system cannot start a program of another architecture by itself.
process.execPath = process.env["EMULATED_NODE"]!
