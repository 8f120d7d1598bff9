// Compiles MetaLedger.sol, or another file of one contract of the same name, and prints the artifact: `node compile.js DIRECTORY [FILE]`,
// where the directory holds the solc package. What it prints is committed as MetaLedger.json; a test compares the two byte for byte.
const fs = require("fs");
const path = require("path");
const solc = require(require.resolve("solc", { paths: [path.resolve(process.argv[2])] }));

const settings = {
  evmVersion: "paris", // the oldest that a private chain of today runs: no PUSH0
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" }, // nothing in the code depends on comments or paths
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"] } },
};
const file = process.argv[3] || path.join(__dirname, "MetaLedger.sol");
const name = path.basename(file, ".sol");
const source = fs.readFileSync(file, "utf8");
const input = { language: "Solidity", sources: { [`${name}.sol`]: { content: source } }, settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const problem of output.errors || []) process.stderr.write(problem.formattedMessage);
if ((output.errors || []).length) process.exit(1); // a warning too
const contract = output.contracts[`${name}.sol`][name];
const artifact = {
  compiler: solc.version(),
  abi: contract.abi,
  bytecode: "0x" + contract.evm.bytecode.object,
  runtime: "0x" + contract.evm.deployedBytecode.object,
  storage: contract.storageLayout.storage.map(({ label, slot, offset, type }) => ({ label, slot, offset, type })),
};
process.stdout.write(JSON.stringify(artifact, null, 1) + "\n");
