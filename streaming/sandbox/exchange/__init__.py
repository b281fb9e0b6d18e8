"""The sandbox exchange itself: orders, matching, accounts and what survives a restart. Knows no venue's wire."""
