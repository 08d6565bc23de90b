import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cacheKey, folderKey } from '../deploy/cache/cache.ts';
import { defaultCacheFolder } from '../deploy/places/default-folders.ts';
import { programPath, type Ran, type Run } from '../host/run.ts';
import { madeOnce } from './made-once.ts';

const questions = ['--printsrcinfo', '--packagelist'];
/** The placeholder for the folder in which makepkg was run. */
const here = '@here@';

let version: Promise<string> | undefined;

/**
 * Runs programs, but asks makepkg about a PKGBUILD only once per machine: it takes more than a second, and its answer
 * is the same for the same folder and environment. A failed question is asked each time.
 */
export const rememberMakepkg =
  (run: Run): Run =>
  async (argv, options = {}) => {
    const [question = ''] = argv.slice(-1);
    const { cwd, env = {} } = options;
    if (argv.at(-2) !== 'makepkg' || !questions.includes(question) || cwd === undefined)
      return run(argv, options);
    version ??= run(['makepkg', '--version'], { quiet: true }).then(({ stdout }) => stdout);
    const environment = JSON.stringify(env).replaceAll(cwd, here);
    const key = cacheKey(question, await version, argv[0] ?? '', environment, await folderKey(cwd));
    const kept = await madeOnce(`makepkg-1-${key}`, async (into) => {
      const ran = await run(argv, options);
      await writeFile(join(into, 'ran.json'), JSON.stringify(ran).replaceAll(cwd, here));
    });
    return JSON.parse((await readFile(join(kept, 'ran.json'), 'utf8')).replaceAll(here, cwd)) as Ran;
  };

/**
 * The same for the builders of a sandbox, which are processes of their own.
 * @param folder is made: for the programs that they find first.
 * @returns the environment to start the fleet with.
 */
export const rememberMakepkgInFleet = async (folder: string): Promise<{ KA_BUILDERS_PATH: string }> => {
  const answers = join(defaultCacheFolder(), 'tests/makepkg-answers-1');
  for (const each of [folder, answers]) await mkdir(each, { recursive: true });
  await symlink(answers, join(folder, 'answers'));
  for (const program of ['bwrap', 'setpriv', 'makepkg'])
    await symlink(resolve(import.meta.dirname, 'remembered-makepkg.sh'), join(folder, program));
  return { KA_BUILDERS_PATH: `${folder}:${programPath}` };
};
