// Bundles the page and the notebook widget. The same sources give the same bytes.
//
//   node build.mjs [FOLDER]     default: ../../torchmultiverse/explore/page

import { build } from "esbuild";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../../torchmultiverse/explore/page");
mkdirSync(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { explorer: "src/page.tsx", widget: "src/widget.tsx" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  banner: { js: "/* Bundled from web/explorer; preact and @preact/signals are under the MIT licence. */" },
});
await build({
  absWorkingDir: here,
  entryPoints: { explorer: "src/style.css" },
  outdir: out,
  bundle: true,
  minify: true,
  charset: "utf8",
});
copyFileSync(join(here, "src/index.html"), join(out, "index.html"));
