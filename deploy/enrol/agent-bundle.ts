import { basename, join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { Role } from '../../schemas/step-names.ts';
import { type BundledPackage, bundledPackages, licenceNotices } from '../bill/bundled-packages.ts';
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

const legal = '.LEGAL.txt';

const bundle = async (entries: Record<string, string>, absent: readonly string[]) => {
  const { outputFiles, metafile } = await build({
    absWorkingDir: checkout,
    entryPoints: entries,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    outdir: 'out',
    outExtension: { '.js': '.mjs' },
    // ssh2's addons are optional: it works without them.
    external: ['*.node', 'cpu-features', ...absent],
    plugins: [addonBeside],
    banner: { js: banner },
    legalComments: 'external',
    logLevel: 'error',
  });
  const [programs, comments] = [new Map<string, Uint8Array>(), [] as string[]];
  for (const { path, contents } of outputFiles)
    if (path.endsWith(legal)) comments.push(Buffer.from(contents).toString('utf8'));
    else programs.set(basename(path), contents);
  return { programs, comments, metafile };
};

/** The programs of a role, and what goes with them. */
export interface AgentBundle {
  /** By their files' names. */
  programs: Map<string, Uint8Array>;
  packages: BundledPackage[];
  /** The licences of these packages. */
  notices: string;
}

/**
 * The programs for a host of that role, each one file with all packages in it: `agent.mjs`, `host.mjs`, and
 * `deadline.mjs` and `pacman-hook.mjs` for a board. They do not hold the code of the other roles. better-sqlite3's addon belongs beside them.
 */
export const bundleAgent = async (role: Role): Promise<AgentBundle> => {
  const { programs, comments, metafile } = await bundle(
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
  const packages = await bundledPackages(metafile);
  return { programs, packages, notices: await licenceNotices(packages, comments) };
};

/**
 * The program that enrolment pipes into a host's Node. It does what it is asked, and leaves no file of its own there.
 */
export const bundleEnroller = async (): Promise<string> => {
  const { programs } = await bundle({ enroller: 'deploy/enrol/on-host/enroller-main.ts' }, []);
  return Buffer.from(programs.get('enroller.mjs') ?? []).toString('utf8');
};
