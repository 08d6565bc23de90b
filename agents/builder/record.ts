import type { BuilderConfig } from '../../schemas/config.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { StepFailed } from '../runtime/errors.ts';
import type { Step } from '../runtime/step.ts';
import { type Committing, commitFiles, probeCommit } from './git/commit-files.ts';
import { createGit } from './git/git.ts';

/** Writes files about an iteration, made from its log, to the campaign's repository, in one commit. */
export const record: Step<'record', BuilderConfig> = async (request, context) => {
  const { effect, host, run, iteration, step, attempt } = context;
  // The request decides what is written there, and nobody reviews it.
  if (!host.recordsIn.includes(request.repository))
    throw new StepFailed(
      'host',
      `${host.host} records in ${host.recordsIn.join(', ') || 'no repository'}, not in "${request.repository}": add it to recordsIn of its config, unless packages are built from it.`,
    );
  const git = createGit(run, host);
  const committing: Committing = {
    repository: request.repository,
    branch: request.branch,
    message: `${iteration}: ${request.title.replace(/\s+/g, ' ').trim()}`,
    iteration,
    step,
    attempt,
    part: 'campaign',
    texts: Object.fromEntries(request.files.map(({ path, content }) => [path, content.text])),
    edited: {
      paths: request.replacements.map(({ path }) => path),
      at: async ({ path: mirror, commit }) =>
        Object.fromEntries(
          await Promise.all(
            request.replacements.map(async (replacement) => {
              const text = await git.text(mirror, commit, replacement.path);
              return [replacement.path, replaced(text, replacement)] as const;
            }),
          ),
        ),
    },
  };
  const commit = await effect('commit', {
    probe: () => probeCommit(git, committing),
    act: () => commitFiles(git, host, committing),
  });
  return { commit };
};

/** @throws {StepFailed} (work) if the file holds neither the text to replace nor its replacement. */
const replaced = (
  text: string | undefined,
  { path, before, after }: StepRequest<'record'>['replacements'][number],
): string => {
  if (text?.includes(before)) return text.replace(before, () => after);
  if (text?.includes(after)) return text;
  throw new StepFailed(
    'work',
    `${path} ${text === undefined ? 'is not there' : `does not say "${before}"`}, so it can't be made to say "${after}": correct the plan's scoreboard, or the file.`,
  );
};
