import type { BuilderConfig } from '../../schemas/config.ts';
import type { Step } from '../runtime/step.ts';
import { type Committing, commitFiles, probeCommit } from './commit-files.ts';
import { createGit } from './git.ts';

/** Commits what the log says of an iteration to the campaign's repository, in one commit. */
export const record: Step<'record', BuilderConfig> = async (request, context) => {
  const { effect, host, run, iteration, step, attempt } = context;
  const git = createGit(run, host);
  const committing: Committing = {
    repository: request.repository,
    branch: request.branch,
    message: `${iteration}: ${request.title.replace(/\s+/g, ' ').trim()}`,
    iteration,
    step,
    attempt,
    part: 'campaign',
    texts: Object.fromEntries(request.files.map(({ path, text }) => [path, text])),
  };
  const commit = await effect('commit', {
    probe: () => probeCommit(git, committing),
    act: () => commitFiles(git, host, committing),
  });
  return { commit };
};
