/** The names of an enrolled host's units. */
export const agentUnit = 'kernel-agent.service';
export const deadlineUnit = 'kernel-agent-deadline.service';
