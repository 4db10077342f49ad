// Runs the conformance tests of Durable Streams against the server whose address is in
// WEIR_TEST_URL. The package's own command finds no tests where npm installs it.
//
// The package asks for vitest 4, which needs Node.js 20.19; it runs with vitest 3 as
// well, which package.json puts in its place, and so with the Node.js 18 of Debian 12.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({ baseUrl: process.env.WEIR_TEST_URL })
