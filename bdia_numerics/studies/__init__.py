"""Studies: functions of a frozen configuration that return results as data; nothing is drawn or printed here."""
