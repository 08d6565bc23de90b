/** The units of an enrolled host, as systemd there calls them. */
export const agentUnit = 'kernel-agent.service';
export const deadlineUnit = 'kernel-agent-deadline.service';
