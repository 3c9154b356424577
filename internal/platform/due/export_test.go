package due

// OverdueRowsSQL lets a test hold the auditor's query to its index.
const OverdueRowsSQL = overdueRows
