package obligation

// FactsOf is what Reckon goes by.
var FactsOf = facts
