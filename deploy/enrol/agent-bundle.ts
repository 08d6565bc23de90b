import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { Role } from '../../schemas/step-names.ts';
import { checkout } from '../checkout.ts';

/** Lets better-sqlite3 find its addon beside the bundle. */
const addonBeside: Plugin = {
  name: 'addon-beside',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^bindings$/ }, () => ({ path: 'bindings', namespace: 'addon-beside' }));
    onLoad({ filter: /.*/, namespace: 'addon-beside' }, () => ({
      contents: "const load = require; module.exports = (name) => load('./' + name);",
      loader: 'js',
    }));
  },
};

// Names that CommonJS packages expect and a module does not have.
const banner = [
  "import { createRequire as createRequireOfBundle } from 'node:module';",
  'const require = createRequireOfBundle(import.meta.url);',
  'const [__dirname, __filename] = [import.meta.dirname, import.meta.filename];',
].join('\n');

const bundle = async (entries: Record<string, string>, absent: readonly string[]) => {
  const { outputFiles } = await build({
    absWorkingDir: checkout,
    entryPoints: entries,
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    outdir: 'out',
    outExtension: { '.js': '.mjs' },
    // ssh2's addons are optional: it works without them.
    external: ['*.node', 'cpu-features', ...absent],
    plugins: [addonBeside],
    banner: { js: banner },
    legalComments: 'none',
    logLevel: 'error',
  });
  return new Map(outputFiles.map(({ path, contents }) => [path.slice(path.lastIndexOf('/') + 1), contents]));
};

/**
 * The programs for a host of that role, each one file with all packages in it: `agent.mjs`, `host.mjs`, and
 * `deadline.mjs` and `pacman-hook.mjs` for a board. They do not hold the code of the other roles. better-sqlite3's addon belongs beside them.
 */
export const bundleAgent = (role: Role): Promise<Map<string, Uint8Array>> =>
  bundle(
    {
      agent: 'agents/main.ts',
      host: 'deploy/enrol/on-host/host-main.ts',
      ...(role === 'board'
        ? { deadline: 'agents/board/deadline-main.ts', 'pacman-hook': 'agents/board/pacman-hook-main.ts' }
        : {}),
    },
    Role.options
      .filter((other) => other !== role)
      .map((other) => join(checkout, `agents/${other}/${other}.ts`)),
  );

/**
 * The program that enrolment pipes into a host's Node. It does what it is asked, and leaves no file of its own there.
 */
export const bundleEnroller = async (): Promise<string> => {
  const files = await bundle({ enroller: 'deploy/enrol/on-host/enroller-main.ts' }, []);
  return Buffer.from(files.get('enroller.mjs') ?? []).toString('utf8');
};
