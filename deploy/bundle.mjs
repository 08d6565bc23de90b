// Bundles the programs of this checkout: node deploy/bundle.mjs FOLDER
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';
import { build } from 'esbuild';

const checkout = dirname(import.meta.dirname);
const outdir = process.argv[2] ?? join(checkout, 'dist');

const common = {
  absWorkingDir: checkout,
  outdir,
  outbase: '.',
  bundle: true,
  metafile: true,
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
};

// The values of a module's `import.meta` in a CommonJS script.
const importMeta = { 'import.meta.dirname': '__dirname', 'import.meta.url': 'importMetaUrl' };

/**
 * Packages that are not bundled: those with native parts, which they look for beside their own files, and large ones
 * that few commands use.
 */
const apart = ['@cyclonedx/cyclonedx-library', 'better-sqlite3', 'esbuild', 'ssh2', 'tsx', 'xmlbuilder2'];

const cli = () =>
  build({
    ...common,
    entryPoints: ['deploy/cli.ts'],
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    external: apart,
    // A copy of a log that other sources have made is made again.
    define: { ...importMeta, 'process.env.KA_BUILD': JSON.stringify(String(Date.now())) },
    // Less for V8 to read; names are kept for stack traces.
    minifySyntax: true,
    minifyWhitespace: true,
    banner: {
      js: `(function (require, __filename, __dirname) {
const importMetaUrl = require('node:url').pathToFileURL(__filename).href, module = { exports: {} };`,
    },
    footer: { js: '})' },
  });

// It has to run on an older Node too, to notice that the Node is too old.
const launcher = () =>
  build({
    ...common,
    entryPoints: ['deploy/launch.ts'],
    target: 'node12',
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    define: importMeta,
  });

const daemons = () =>
  build({
    ...common,
    entryPoints: [
      'deploy/bill/bill-main.ts',
      'deploy/supervisor-main.ts',
      'deploy/local-fleet/servers/file-server-main.ts',
      'agents/main.ts',
      'agents/board/deadline-main.ts',
      'coordinator/main.ts',
      'deploy/keeper/keeper-main.ts',
    ],
    format: 'esm',
    splitting: true,
    // A daemon starts in half the time if it does not look for some two hundred files of packages.
    external: apart,
    minifySyntax: true,
    minifyWhitespace: true,
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
  });

/** Writes what is bundled, and its licences, beside the bundle. */
const writeBill = (metafiles) => {
  const outputs = Object.assign({}, ...metafiles.map((metafile) => metafile.outputs));
  const input = JSON.stringify({ inputs: {}, outputs });
  execFileSync(process.execPath, [join(outdir, 'deploy/bill/bill-main.js'), outdir], { input });
};

/** Runs the code with which most commands begin, and saves what V8 compiles for it. */
const keepCompiled = () => {
  const file = join(outdir, 'deploy/cli.cjs');
  const script = new Script(readFileSync(file, 'utf8'), { filename: file });
  const commands = [
    ['plan', 'check', join(checkout, 'examples/iteration-5/plan.yaml')],
    ['status', '--config', '/dev/null'], // there is no such fleet, and none is needed
  ];
  const runNext = () => {
    const command = commands.shift();
    if (!command) return;
    process.argv.splice(2, Number.POSITIVE_INFINITY, ...command);
    script.runInThisContext()(createRequire(file), file, dirname(file));
  };
  process.on('beforeExit', runNext);
  process.once('exit', () => {
    writeFileSync(join(dirname(file), 'cli.cache'), script.createCachedData());
    process.exitCode = 0;
  });
  runNext();
};

if (process.argv[3] === '--keep-compiled') keepCompiled();
else {
  const built = await Promise.all([cli(), launcher(), daemons()]);
  writeBill(built.map(({ metafile }) => metafile));
  execFileSync(process.execPath, [import.meta.filename, outdir, '--keep-compiled'], { stdio: 'ignore' });
}
