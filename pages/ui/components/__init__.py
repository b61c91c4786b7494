"""The live components: JavaScript that is mounted once, and the Python that gives it bytes."""
