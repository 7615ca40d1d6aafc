"""The page kit: style, tables and figures of reports; it knows no result of ours."""
