"""What works round Streamlit, each with the reason."""
