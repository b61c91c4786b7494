"""The core of Siamese Playground: losses, training, projection. It never imports streamlit."""
