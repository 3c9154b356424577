package due

// OverdueRowsSQL lets a test hold the auditor's query to its index.
const OverdueRowsSQL = overdueRows

// CountBacklogSQL likewise that of the backlog.
const CountBacklogSQL = countBacklog

// GiveBackSQL likewise that of a batch that has lasted long enough.
const GiveBackSQL = giveBackSQL
