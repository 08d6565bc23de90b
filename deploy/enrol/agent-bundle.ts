import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { Role } from '../../schemas/step-names.ts';
import { checkout } from '../checkout.ts';

/** What better-sqlite3 finds its addon with, in a bundle: the addon lies beside it. */
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

// What packages in CommonJS expect to be there, and a module has not.
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
    // ssh2's addons are optional: where they are not, it does without.
    external: ['*.node', 'cpu-features', ...absent],
    plugins: [addonBeside],
    banner: { js: banner },
    legalComments: 'none',
    logLevel: 'error',
  });
  return new Map(outputFiles.map(({ path, contents }) => [path.slice(path.lastIndexOf('/') + 1), contents]));
};

/**
 * The programs that are put on a host of that role, each one file with every package in it: `agent.mjs`, `host.mjs`, and
 * `deadline.mjs` for a board. The code of the other roles is not in them. better-sqlite3's addon belongs beside them.
 */
export const bundleAgent = (role: Role): Promise<Map<string, Uint8Array>> =>
  bundle(
    {
      agent: 'agents/main.ts',
      host: 'deploy/enrol/on-host/host-main.ts',
      ...(role === 'board' ? { deadline: 'agents/board/deadline-main.ts' } : {}),
    },
    Role.options
      .filter((other) => other !== role)
      .map((other) => join(checkout, `agents/${other}/${other}.ts`)),
  );

/** The program that enrolment pipes into a host's Node: it looks, and does what it is asked, and stays there in no file. */
export const bundleEnroller = async (): Promise<string> => {
  const files = await bundle({ enroller: 'deploy/enrol/on-host/enroller-main.ts' }, []);
  return Buffer.from(files.get('enroller.mjs') ?? []).toString('utf8');
};
