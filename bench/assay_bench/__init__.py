"""Measures Assay on a private instance: processes and CPU (machine), the instance, the load driver, one module a
subject of figures, the table, the pictures."""
